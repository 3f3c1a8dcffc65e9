"""Serve the prediction of pairs over HTTP: a page to drop two images on, and its interface."""
