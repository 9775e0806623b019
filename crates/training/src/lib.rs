//! Recipes and the training loop: forward, loss, backward, clip, step, evaluate, checkpoint.
