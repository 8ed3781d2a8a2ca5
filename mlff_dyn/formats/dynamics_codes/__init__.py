"""Programs that make the steps while the force field gives the forces: their input, and the link to them."""
