"""How well a trained model does on frames that did not train it."""
