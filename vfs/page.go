package vfs

import "sort"

// Page returns the part of a whole listing, which is by name, that comes after a name,
// at most limit entries (0: all). It shares its memory with all.
func Page(all []Info, after string, limit int) []Info {
	all = all[sort.Search(len(all), func(i int) bool { return all[i].Name > after }):]
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all
}
