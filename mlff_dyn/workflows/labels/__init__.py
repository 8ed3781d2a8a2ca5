"""What the verb label does: look at calculations, run them, choose what to calculate."""
