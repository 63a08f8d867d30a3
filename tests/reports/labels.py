"""Labels that must stay text on a page."""

EVIL = "<script>alert('it runs')</script>"
