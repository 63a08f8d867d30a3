"""Loss landscapes of two small layers: the table, the panel of one module, and whole pages (Figure 9)."""
