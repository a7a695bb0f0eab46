# One Makefile for the whole tree.
#   make            the programs            make admin       the admin web UI
#   make unit [SAN=1|SAN=thread|COV=1]   unit tests
#   make check-static   format, layers, headers, limits            make contract   print docs again
# BUILD= puts the results elsewhere; WERROR= lets warnings pass (packagers).
SERVICES := $(patsubst services/%/main.c,%,$(wildcard services/*/main.c))
VARIANT  := $(if $(SAN),$(if $(filter thread,$(SAN)),tsan,san),$(if $(COV),cov,rel))
BUILD    ?= build
OUT      := $(BUILD)/$(VARIANT)
CC       ?= gcc
comma    := ,
SANFLAGS := $(if $(SAN),$(if $(filter thread,$(SAN)),-fsanitize=thread,-fsanitize=address$(comma)undefined) \
            -fno-sanitize-recover=all -fno-omit-frame-pointer -DCMS365_ARENA_MALLOC -DCMS365_FAULTS)
WERROR   ?= -Werror
WARN     := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wold-style-definition -Wpointer-arith -Wwrite-strings -Wcast-qual -Wformat=2 -Wvla \
            -Wundef -Wconversion
HARDEN   := $(if $(SAN)$(COV),,-O2 -D_FORTIFY_SOURCE=2) -fstack-protector-strong \
            $(if $(FUZZER),,-ftrivial-auto-var-init=zero) -fPIE
CFLAGS   ?= -g
ALL_CFLAGS = -std=gnu17 $(WARN) $(WERROR) -I. -I$(OUT)/gen -MMD -MP -fno-common $(HARDEN) $(CFLAGS) \
            $(if $(SAN),-O1 $(SANFLAGS)) $(if $(FUZZER),-fsanitize=fuzzer-no-link) $(if $(COV),--coverage -O0)
LDFLAGS  ?= -pie -Wl,-z,relro,-z,now
LDLIBS   := -lmicrohttpd -lcurl -lcares -lrdkafka -lhiredis -lpq -lcjose -lssl -lcrypto -largon2 -ljansson \
            -lz -lzstd -lpthread -lm
# What one program alone needs.
LDLIBS_webhooks-in := -ljq
LDLIBS_auth := -lqrencode

LAYERS   := base proto io kit
SRC_base := $(wildcard common/base/*.c)
SRC_proto := $(wildcard proto/*.c proto/*/*.c)
SRC_io   := $(wildcard common/io/*.c)
SRC_kit  := $(wildcard common/kit/*.c)
svc_src   = $(wildcard services/$(1)/*.c services/$(1)/*/*.c)
obj       = $(patsubst %.c,$(OUT)/%.o,$(1))
# Order matters to the linker: upper layers first.  Under TSan C11's threads, which librdkafka uses, are made of those
# that TSan knows.
LIBS     := $(if $(filter thread,$(SAN)),$(OUT)/tests/support/tsan_threads.o) $(OUT)/libkit.a $(OUT)/libio.a $(OUT)/libproto.a $(OUT)/libbase.a

UNIT     := $(shell find tests/unit -name '*_test.c' 2>/dev/null)
INTEG    := $(shell find tests/integration -name '*_test.c' 2>/dev/null)
FUZZ     := $(wildcard tests/fuzz/*_fuzz.c)
TOOLS    := $(wildcard tests/bench/*.c)
SRCS     := $(foreach l,$(LAYERS),$(SRC_$(l))) $(foreach s,$(SERVICES),$(call svc_src,$(s))) \
            $(UNIT) $(INTEG) $(FUZZ) $(TOOLS)
HDRS     := $(wildcard common/*/*.h proto/*.h services/*/*.h)

all: $(SERVICES:%=$(OUT)/bin/%)

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

define LAYER
$(OUT)/lib$(1).a: $(call obj,$(SRC_$(1)))
	@rm -f $$@
	$$(AR) rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call LAYER,$(l))))

# A service sees its SQL and migrations as "<name>/sql.h" and "<name>/migrations.h".
define SERVICE
$(OUT)/gen/$(1)/sql.h: $(wildcard services/$(1)/sql/*.sql) scripts/sql2h.awk
	@mkdir -p $$(@D)
	awk -v kind=stmt -f scripts/sql2h.awk $$(sort $(wildcard services/$(1)/sql/*.sql)) /dev/null > $$@.tmp && mv $$@.tmp $$@
$(OUT)/gen/$(1)/migrations.h: $(wildcard services/$(1)/migrations/*.sql) scripts/sql2h.awk
	@mkdir -p $$(@D)
	awk -v kind=migration -f scripts/sql2h.awk $$(sort $(wildcard services/$(1)/migrations/*.sql)) > $$@.tmp && mv $$@.tmp $$@
$(call obj,$(call svc_src,$(1))): | $(OUT)/gen/$(1)/sql.h $(OUT)/gen/$(1)/migrations.h
$(OUT)/lib$(1).a: $(call obj,$(filter-out %/main.c,$(call svc_src,$(1))))
	@rm -f $$@
	$$(AR) rcs $$@ $$^
$(OUT)/bin/$(1): $(OUT)/services/$(1)/main.o $(OUT)/lib$(1).a $(LIBS)
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) $$(LDFLAGS) $$^ $$(LDLIBS_$(1)) $$(LDLIBS) -o $$@
# The service's own tests link its archive and no other's.
$(OUT)/tests/unit/services/$(1)/%_test: $(OUT)/tests/unit/services/$(1)/%_test.o $(OUT)/lib$(1).a $(LIBS)
	$$(CC) $$(ALL_CFLAGS) $$(LDFLAGS) $$^ $$(LDLIBS_$(1)) $$(LDLIBS) -lcmocka -o $$@
$(OUT)/tests/integration/services/$(1)/%_test: $(OUT)/tests/integration/services/$(1)/%_test.o $(OUT)/lib$(1).a $(LIBS)
	$$(CC) $$(ALL_CFLAGS) $$(LDFLAGS) $$^ $$(LDLIBS_$(1)) $$(LDLIBS) -lcmocka -o $$@
endef
$(foreach s,$(SERVICES),$(eval $(call SERVICE,$(s))))

# The api carries the printed documents, the large one without its line breaks.
API_DOCS := $(addprefix docs/api/,postman.json changelog.html changelog.json changelog.atom)
$(OUT)/gen/api/openapi.json: docs/api/openapi.json
	@mkdir -p $(@D)
	sed 's/^ *//' $< | tr -d '\n' > $@.tmp && mv $@.tmp $@
$(OUT)/services/api/documents.o: $(OUT)/gen/api/openapi.json $(API_DOCS)

UNIT_BINS  := $(UNIT:%.c=$(OUT)/%)
INTEG_BINS := $(INTEG:%.c=$(OUT)/%)
FUZZ_BINS  := $(FUZZ:%.c=$(OUT)/%)
TOOL_BINS  := $(TOOLS:%.c=$(OUT)/%)
$(OUT)/tests/unit/%_test: $(OUT)/tests/unit/%_test.o $(LIBS)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -lcmocka -o $@
$(OUT)/tests/integration/%_test: $(OUT)/tests/integration/%_test.o $(LIBS)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -lcmocka -o $@
# Fuzz targets: LLVMFuzzerTestOneInput with the replay driver (gcc); `FUZZER=1 CC=clang` links libFuzzer.
$(OUT)/tests/fuzz/%_fuzz: $(OUT)/tests/fuzz/%_fuzz.o $(if $(FUZZER),,$(OUT)/tests/fuzz/replay.o) $(LIBS)
	$(CC) $(ALL_CFLAGS) $(if $(FUZZER),-fsanitize=fuzzer) $(LDFLAGS) $(filter %.o,$^) \
	    -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(FUZZ_LIBS) $(LDLIBS) -o $@
# What is fuzzed of a service links its archive.
$(OUT)/tests/fuzz/hook_fuzz: $(OUT)/libwebhooks-in.a
$(OUT)/tests/fuzz/hook_fuzz: FUZZ_LIBS := $(LDLIBS_webhooks-in)
$(OUT)/tests/fuzz/record_fuzz: $(OUT)/libanalytics.a
$(OUT)/tests/bench/%: $(OUT)/tests/bench/%.o $(LIBS)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@

unit-bins: $(UNIT_BINS)
integration-bins: $(INTEG_BINS)
bench-bins: $(TOOL_BINS)
unit: $(UNIT_BINS)
	@scripts/run-cmocka $(UNIT_BINS)
fuzz-bins: $(FUZZ_BINS)
fuzz-replay: $(FUZZ_BINS)
	@set -e; for f in $(FUZZ_BINS); do n=$$(basename $$f _fuzz); $$f tests/fuzz/corpus/$$n/*; done

check-static: check-format layers hdr-check limits
check-format:
	@scripts/check-format
layers:
	@awk -f scripts/layers.awk $$(git ls-files '*.[ch]')
limits:
	@scripts/check-limits
hdr-check: $(HDRS:%=$(OUT)/%.ok)
$(OUT)/%.h.ok: %.h
	@mkdir -p $(@D)
	@echo '#include "$<"' | $(CC) -std=gnu17 $(WARN) $(WERROR) -I. -I$(OUT)/gen -fsyntax-only -x c - && touch $@
contract: all
	@scripts/contract $(OUT)/bin
compile_commands.json: $(SRCS) Makefile
	@{ echo '['; for f in $(SRCS); do printf '{"directory":"%s","file":"%s","command":"%s -c %s"},\n' \
	    '$(CURDIR)' $$f '$(CC) $(ALL_CFLAGS)' $$f; done | sed '$$s/,$$//'; echo ']'; } > $@
# The static files of the admin web UI; scripts/dev/admin looks itself whether anything changed.
admin:
	@scripts/dev/admin $(BUILD)/admin
clean:
	$(RM) -r $(BUILD) compile_commands.json
.PHONY: all admin unit unit-bins integration-bins bench-bins fuzz-bins fuzz-replay check-static check-format layers limits hdr-check contract clean
.SECONDARY:
.DELETE_ON_ERROR:
-include $(patsubst %.c,$(OUT)/%.d,$(SRCS))
