"""What napari shows: forms, progress and results of the backend; the only room with Qt."""
