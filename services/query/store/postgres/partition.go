package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/synapse-analytics/synapse/services/query"
	"github.com/synapse-analytics/synapse/services/query/store/rollup"
)

// partition returns the name of a day's partition, which it makes if there is none.
func (w *work) partition(day int64) (string, error) {
	if _, ok := w.cache.days[day]; ok {
		return partitionName(day), nil
	}
	name, err := Partition(w.ctx, w.tx, day*query.Day.US())
	if err != nil {
		return "", err
	}
	if w.cache.days == nil {
		w.cache.days = map[int64]struct{}{}
	}
	w.cache.days[day] = struct{}{}
	return name, nil
}

const partitionPrefix = "events_day_"

func partitionName(day int64) string { return partitionPrefix + dayName(day) }

func dayName(day int64) string { return strings.ReplaceAll(strconv.FormatInt(day, 10), "-", "m") }

// Partition returns the table of the events that were accepted on the day of a time,
// which it makes if there is none. Attaching a table lets reads go on meanwhile;
// creating it as a partition would not.
func Partition(ctx context.Context, tx pgx.Tx, acceptedUS int64) (string, error) {
	day := rollup.BucketOf(acceptedUS, query.Day)
	name := partitionName(day)
	var exists bool
	if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", name).Scan(&exists); err != nil {
		return "", fmt.Errorf("look for partition %s: %w", name, err)
	}
	if exists {
		return name, nil
	}
	us := query.Day.US()
	_, err := tx.Exec(ctx, fmt.Sprintf("CREATE TABLE %s (LIKE events)", name))
	if err == nil {
		_, err = tx.Exec(ctx, fmt.Sprintf("ALTER TABLE events ATTACH PARTITION %s FOR VALUES FROM (%d) TO (%d)", name, day*us, (day+1)*us))
	}
	if err != nil {
		return "", fmt.Errorf("make partition %s: %w", name, err)
	}
	return name, nil
}
