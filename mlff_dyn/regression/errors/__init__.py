"""Are the error bars right?"""
