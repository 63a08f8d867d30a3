"""How it is learnt: objectives, schedules, optimizers, and the vectorized ensemble."""
