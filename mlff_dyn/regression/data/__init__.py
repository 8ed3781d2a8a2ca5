"""What a fit knows of its data: conditions, bins, sums."""
