//! What is driven: a service that the lab starts as a child, or one that runs already.
