"""The networks whose FFNs are studied; a variant is a setting, not a class."""
