"""Whole jobs: reproduce a figure, train one module, measure the speed."""
