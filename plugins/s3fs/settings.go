package s3fs

import (
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/pfs-project/pfs/vfs"
)

// The names of the settings.
const (
	keyBucket    = "bucket"
	keyRegion    = "region"
	keyID        = "access_key_id"
	keySecret    = "secret_access_key"
	keyEndpoint  = "endpoint"
	keyPrefix    = "prefix"
	keyStyle     = "prefix_style"
	keyPlainHTTP = "disable_ssl"
	keyPathStyle = "use_path_request_style"
	keyCache     = "cache_enabled"
	keyListTTL   = "cache_ttl"
	keyStatTTL   = "stat_cache_ttl"
	keyCacheSize = "cache_max_size"
)

func params() []vfs.Param {
	return []vfs.Param{
		{Name: keyBucket, Type: "string", Required: true, Description: "the bucket; it must exist"},
		{Name: keyRegion, Type: "string", Default: "us-east-1", Description: "its region"},
		{Name: keyID, Type: "string", Secret: true,
			Description: "the id of the access key; without it, AWS_ACCESS_KEY_ID of each node's environment"},
		{Name: keySecret, Type: "string", Secret: true,
			Description: "the secret of the access key; without it, AWS_SECRET_ACCESS_KEY of each node's environment"},
		{Name: keyEndpoint, Type: "string", Description: "the URL of a server other than that of AWS"},
		{Name: keyPrefix, Type: "string", Description: "the part of the bucket to serve; default all of it"},
		{Name: keyStyle, Type: "string", Default: stylePlain,
			Description: "plain: keys are <prefix>/<path>; wrapped: __PREFIX__<prefix>__/<path>, as AGFS writes them"},
		{Name: keyPlainHTTP, Type: "bool", Default: "false", Description: "talk HTTP without TLS"},
		{Name: keyPathStyle, Type: "bool", Default: "true with an endpoint",
			Description: "the bucket is in the path of requests, not in the host name"},
		{Name: keyCache, Type: "bool", Default: "false",
			Description: "keep what was seen of files and listings; changes made elsewhere, other nodes included, show when it has aged"},
		{Name: keyListTTL, Type: "duration", Default: "30s", Description: "how long a listing is kept"},
		{Name: keyStatTTL, Type: "duration", Default: "60s", Description: "how long a file's size and time are kept"},
		{Name: keyCacheSize, Type: "int", Default: "1000", Description: "how many listings are kept, and five times as many files"},
	}
}

// settings are those of one mount.
type settings struct {
	bucket, region, endpoint string
	id, secret               string // "": of the environment
	keys                     keys
	pathStyle, plainHTTP     bool
	cache                    bool
	listTTL, statTTL         time.Duration
	cacheSize                int
	backoff                  time.Duration // between two tries, at most
	copyMost, copyPart       int64         // bytes that one request copies, and of each part of what is longer
}

var bucketName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$`)

func parse(c vfs.Config) (s settings, err error) {
	s.backoff, s.copyMost, s.copyPart = maxBackoff, copyMost, copyPart
	for name, to := range map[string]*string{keyBucket: &s.bucket, keyRegion: &s.region,
		keyID: &s.id, keySecret: &s.secret, keyEndpoint: &s.endpoint} {
		if *to, err = c.String(name, ""); err != nil {
			return s, err
		}
	}
	switch {
	case s.bucket == "":
		return s, vfs.Invalid.With("bucket is required")
	case !bucketName.MatchString(s.bucket) || strings.Contains(s.bucket, ".."):
		return s, vfs.Invalid.With("bucket is not the name of one")
	case (s.id == "") != (s.secret == ""):
		return s, vfs.Invalid.With("access_key_id and secret_access_key go together")
	}
	if s.region == "" {
		s.region = "us-east-1"
	}
	if s.keys, err = parseKeys(c); err != nil {
		return s, err
	}
	if s.plainHTTP, err = boolean(c, keyPlainHTTP, false); err != nil {
		return s, err
	}
	if err := s.parseEndpoint(); err != nil {
		return s, err
	}
	if s.pathStyle, err = boolean(c, keyPathStyle, s.endpoint != ""); err != nil {
		return s, err
	}
	return s, s.parseCache(c)
}

// parseEndpoint makes a URL of the endpoint.
func (s *settings) parseEndpoint() error {
	if s.endpoint == "" {
		return nil
	}
	if !strings.Contains(s.endpoint, "://") {
		s.endpoint = map[bool]string{true: "http://", false: "https://"}[s.plainHTTP] + s.endpoint
	}
	u, err := url.Parse(s.endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return vfs.Invalid.With("endpoint is not a URL such as https://s3.example.com:9000")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return vfs.Invalid.With("endpoint must have no user, query or fragment")
	case s.plainHTTP && u.Scheme == "https":
		return vfs.Invalid.With("endpoint says https and disable_ssl says http; leave one of them out")
	}
	return nil
}

func (s *settings) parseCache(c vfs.Config) (err error) {
	if s.cache, err = boolean(c, keyCache, false); err != nil {
		return err
	}
	if s.listTTL, err = c.Duration(keyListTTL, 30*time.Second); err != nil {
		return err
	}
	if s.statTTL, err = c.Duration(keyStatTTL, time.Minute); err != nil {
		return err
	}
	n, err := c.Int(keyCacheSize, 1000)
	switch {
	case err != nil:
		return err
	case n < 1 || n > 1_000_000:
		return vfs.Invalid.With("cache_max_size must be from 1 to 1000000")
	}
	s.cacheSize = int(n)
	return nil
}

// boolean takes a bool in every form in which settings arrive.
func boolean(c vfs.Config, name string, def bool) (bool, error) {
	switch v := c[name].(type) {
	case nil:
		return def, nil
	case bool:
		return v, nil
	case string:
		switch v {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
	}
	return false, vfs.Invalid.Withf("%s must be true or false", name)
}
