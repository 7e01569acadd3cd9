/* The least that is a plugin. */
void *PluginNew(void) {
	static int self;
	return &self;
}
