"""Accuracy, error bars, selection and forecast, measured on frames whose reference forces are known."""
