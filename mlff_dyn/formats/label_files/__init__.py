"""Files with labelled structures that other programs wrote."""
