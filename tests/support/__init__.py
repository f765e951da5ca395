"""What tests of several packages share: small models and data, made-up runs, a project in a folder."""
