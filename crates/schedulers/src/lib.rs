//! Learning-rate schedules: lr(step) as pure functions of the step.
