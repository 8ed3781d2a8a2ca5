"""What a run did, in words, numbers and pictures."""
