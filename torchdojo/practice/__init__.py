"""What someone without a teacher uses. Knows no gradebook and writes to none."""
