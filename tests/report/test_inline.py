from nervelab.report.inline import inline

_SVG = """<?xml version="1.0"?>
<svg width="1"><defs><path id="p"/></defs><use xlink:href="#p"/><g clip-path="url(#p)"/></svg>"""


def test_identifiers_and_what_refers_to_them_are_renamed():
    element = inline(_SVG, name="fig", description="a < b")
    assert element.startswith('<svg role="img" aria-label="a &lt; b" width="1">')
    assert element.count("fig-p") == 3
    assert '"p"' not in element
