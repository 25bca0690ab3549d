"""What is probably wrong with labels: found beside what detectors find, fixed in a file, shown on a page."""
