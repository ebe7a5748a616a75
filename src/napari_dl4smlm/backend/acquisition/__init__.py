"""What the microscope gave us: frames, pixel size, camera, and how a network is fed them."""
