"""Where the molecules are: tables, their files, and the way to density maps and back."""
