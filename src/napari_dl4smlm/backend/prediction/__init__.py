"""From a movie to a super-resolution image and a table of localizations."""
