"""One prediction by many processes, on one machine or on many that share a folder."""
