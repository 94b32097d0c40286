//! Model manifests and the choice of the best model that fits
