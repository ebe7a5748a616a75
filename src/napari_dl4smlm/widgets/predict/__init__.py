"""The Predict widget: movies become super-resolution images and localizations."""
