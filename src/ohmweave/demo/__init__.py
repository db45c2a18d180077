"""The network the demonstration compiles: a perceptron for handwritten digits and its trained weights."""
