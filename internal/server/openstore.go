package server

import (
	"context"

	"github.com/assenthq/assent/internal/store"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// openStore opens what keeps the deployment's state and log.
func openStore(ctx context.Context, data string) (store.Store, error) {
	s, err := sqlite.Open(ctx, data)
	if err != nil {
		return nil, err // not a nil *sqlite.Store in an interface
	}
	return s, nil
}
