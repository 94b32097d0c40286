//! Wire types of the OpenAI API: requests, replies, stream chunks, errors, limits
