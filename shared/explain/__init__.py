"""Why a model answered as it did, and checks that such an explanation deserves trust."""
