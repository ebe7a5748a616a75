"""Where movies and tables come from: layers and files, as they come and go."""
