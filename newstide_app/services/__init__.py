"""The services: their loops, what supervises them, and what watches them."""
