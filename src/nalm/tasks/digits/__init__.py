"""Tasks on sequences of images: running sums, products and quotients of the digits that they show."""
