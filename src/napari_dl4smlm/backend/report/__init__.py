"""Results on one page: a single HTML file that shows numbers, figures and where they come from."""
