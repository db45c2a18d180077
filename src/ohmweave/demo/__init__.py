"""The demonstration: a network for handwritten digits with its trained weights, and the story told with it."""
