-- Statistics of a table with a full-text index are dear: for each sampled row the document is made anew, some seconds of a processor
-- each time.  At a tenth of new rows that was as much as writing them; what texts are made of changes more slowly.
ALTER TABLE users SET (autovacuum_analyze_scale_factor = 0.5, autovacuum_analyze_threshold = 1000);
ALTER TABLE posts SET (autovacuum_analyze_scale_factor = 0.5, autovacuum_analyze_threshold = 1000);
ALTER TABLE pages SET (autovacuum_analyze_scale_factor = 0.5, autovacuum_analyze_threshold = 1000);
ALTER TABLE media SET (autovacuum_analyze_scale_factor = 0.5, autovacuum_analyze_threshold = 1000);
ALTER TABLE experts SET (autovacuum_analyze_scale_factor = 0.5, autovacuum_analyze_threshold = 1000);
ALTER TABLE companies SET (autovacuum_analyze_scale_factor = 0.5, autovacuum_analyze_threshold = 1000);
ALTER TABLE events SET (autovacuum_analyze_scale_factor = 0.5, autovacuum_analyze_threshold = 1000);
