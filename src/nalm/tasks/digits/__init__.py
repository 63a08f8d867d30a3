"""Running sums, products and quotients of digits in images."""
