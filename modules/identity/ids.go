package identity

import (
	"maps"
	"slices"
)

// sortedIDs returns the distinct, non-empty ids in order.
func sortedIDs(ids []string) []string {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == "" })
	slices.Sort(ids)
	return slices.Compact(ids)
}

func prefixed(prefix string, ids []string) []string {
	result := make([]string, len(ids))
	for i, id := range ids {
		result[i] = prefix + id
	}
	return result
}

func keys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

func sortedValues[T any](m map[string]T) []T {
	values := make([]T, 0, len(m))
	for _, key := range keys(m) {
		values = append(values, m[key])
	}
	return values
}

func accountID(a Account) string           { return a.ID }
func organizationID(o Organization) string { return o.ID }
func membershipID(m Membership) string     { return m.ID }

// mergeByID merges states into those of the same id and returns the map.
func mergeByID[T any](into map[string]T, states []T, id func(T) string, merge func(T, T) T) map[string]T {
	if into == nil {
		into = make(map[string]T, len(states))
	}
	for _, state := range states {
		if known, ok := into[id(state)]; ok {
			state = merge(known, state)
		}
		into[id(state)] = state
	}
	return into
}
