"""The networks, the devices they run on, and the files that hold them."""
