"""The map: each headline's place in two dimensions. Arrays in, arrays out."""
