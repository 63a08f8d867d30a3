"""Pages of results for people: what a page says, and what it is written in."""
