"""Everything that speaks the language of the original research code: names, files, import."""
