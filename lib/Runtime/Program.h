//===- Program.h - What the compiler tells the runtime ------------*- C -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The contract between the compiler and the runtime that it links into every
// library. The compiler emits four symbols; the runtime defines everything
// else:
//
//   treadle_program          the image: a treadle_program_header, followed by
//                            the arrays and strings that it points to. 64-byte
//                            aligned.
//   treadle_entry_functions  one function per element of header.entries.
//   treadle_schedule_functions  with GPU code, as many functions that launch
//                            kernels for the same calls; otherwise one of anything.
//   treadle_weights_begin    the whole safetensors container of packed weights,
//                            header included, 64-byte aligned. Always defined:
//                            at least 64 bytes of anything unless weights.mode
//                            is TREADLE_PROGRAM_WEIGHTS_EMBED.
//
// The image holds no pointer, so it needs no relocation and can be one constant:
// places are byte offsets from its first byte. Numbers are little-endian. Unused
// bytes are zero, so that compiling twice gives the same bytes.
//
// Both sides are built together and the image lies in the same library as the
// runtime that reads it. So this is no stable format: change it freely and bump
// TREADLE_PROGRAM_FORMAT. What outlives a build is model.h.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_RUNTIME_PROGRAM_H
#define TREADLE_RUNTIME_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// "TREADLE\0", read as a little-endian number.
#define TREADLE_PROGRAM_MAGIC UINT64_C(0x00454c4441455254)

/// Changes with any change to this file.
#define TREADLE_PROGRAM_FORMAT UINT32_C(8)

/// `count` elements that start `offset` bytes into the image. Elements are
/// aligned to their size; structs to 8. A string's count is its length in
/// bytes, and a NUL follows it. An empty span may have any offset.
typedef struct treadle_program_span {
  uint64_t offset;
  uint64_t count;
} treadle_program_span;

//===----------------------------------------------------------------------===//
// Entry points
//===----------------------------------------------------------------------===//

/// An entry point processes `rows` rows (R) of one sequence.
///
/// `arena` has at least the entry's arena_bytes of scratch, 64-byte aligned,
/// whose content means nothing before and after the call.
///
/// `states` is the session's state memory, header.state_bytes long, 64-byte
/// aligned.
///
/// `weights` is the first byte of the container's data (after its header),
/// 64-byte aligned, or treadle_weights_begin if the mode is NONE. Read only.
///
/// `input`, `mask` and `output` are as the kinds say. R whole rows can be read
/// and written, aligned to 4 bytes only. They overlap nothing.
///
/// `position` is how many tokens precede row 0: of the sequence, or of the open
/// period in a program that has periods.
///
/// `valid`: rows 0 ... valid - 1 are real, 1 <= valid <= R, and position +
/// valid <= header.context, or header.period. The rest is padding: it must
/// change no state and no bit of a real row. Its output rows may hold anything,
/// position + R may exceed the context or period (clamp what is indexed with
/// it), and its inputs are id 0, mask 0, and hidden rows of any bits, NaN
/// included.
///
/// `passes` is how often a loop runs, 1 <= passes <= header.max_loops, the same
/// for every call on one session.
///
/// `members` threads run a call together, each as another `member`, 0 <= member <
/// members: each does its share of every stage, and calls treadle_barrier(team)
/// where a stage reads or overwrites what other members' shares of earlier ones
/// left or read. `team` is NULL if members is 1.
///
/// `profile` is what treadle_mark is to be called with at the borders of stages, NULL
/// unless somebody wants to know them, and never the same for two members.
///
/// Row i must come out the same, bit for bit, however a sequence is cut into
/// calls, and whatever the number of members. Entry points share nothing but
/// `states`.
typedef struct treadle_team treadle_team;
typedef struct treadle_profile treadle_profile;
typedef void (*treadle_entry_fn)(void *arena, void *states, const void *weights,
                                 const void *input, const uint8_t *mask,
                                 void *output, int64_t position, int64_t valid,
                                 int64_t passes, int64_t member,
                                 int64_t members, treadle_team *team,
                                 const treadle_profile *profile);

/// The schedule of an entry point: the same call on a GPU. All memory is the
/// device's, which it never reads or writes itself: it calls treadle_launch, and a
/// stream keeps what it launches in order.
typedef struct treadle_launcher treadle_launcher;
typedef void (*treadle_schedule_fn)(void *arena, void *states,
                                    const void *weights, const void *input,
                                    const uint8_t *mask, void *output,
                                    int64_t position, int64_t valid,
                                    int64_t passes, treadle_launcher *launcher);

/// FORWARD and HEAD are needed with rows = 1; more make longer inputs cheaper.
/// OPEN and CLOSE are there once each if the program has periods, and not at all
/// otherwise.
enum treadle_program_entry_kind {
  /// input: int32 ids[R], each in [0, token_count).
  /// mask: uint8 mask[R], 1 = attended. A masked row takes a position, and its
  ///   keys are seen by no row, its own included. A row that sees no key has
  ///   attention result 0.
  /// output: float hidden[R][hidden_size], the input of the head.
  TREADLE_PROGRAM_ENTRY_FORWARD = 0,
  /// input: float hidden[R][hidden_size]. mask: NULL. output: float
  /// logits[R][vocab_size]. Touches no state; `position` is 0.
  TREADLE_PROGRAM_ENTRY_HEAD = 1,
  /// Begins a period: writes the `lead` rows of append states. input, mask,
  /// output: NULL. `position` is 0, all R rows are valid.
  TREADLE_PROGRAM_ENTRY_OPEN = 2,
  /// Ends a period: writes the states that outlive it, with the R rows of append
  /// states behind the last token as scratch. input, mask, output: NULL.
  /// `position` is the number of tokens in the period, 1 ... header.period; all R
  /// rows are valid.
  TREADLE_PROGRAM_ENTRY_CLOSE = 3
};

typedef struct treadle_program_entry {
  uint32_t kind;        ///< treadle_program_entry_kind
  uint32_t rows;        ///< R, at least 1
  uint64_t arena_bytes; ///< may be 0
  /// For the choice of threads: what a call with the most passes costs on one
  /// thread, in nanoseconds, and for each position that it sees, in picoseconds;
  /// how much of `work` no second thread can take over; how many barriers it has.
  uint64_t work;
  uint64_t key_work;
  uint64_t serial;
  uint64_t barriers;
  /// On a GPU: the number of the kernel that is all of the entry point's schedule,
  /// which blocks of so many threads walk through together. Its arguments are those
  /// of the schedule, and in place of the launcher the address of 4 bytes, 0 at
  /// first, by which the blocks wait for each other. 0 threads: there is none.
  uint32_t grid_kernel;
  uint32_t grid_threads;
} treadle_program_entry;

//===----------------------------------------------------------------------===//
// States
//===----------------------------------------------------------------------===//

enum treadle_program_state_kind {
  /// One row per token: row p belongs to position p. Rows at and after the
  /// session's position may hold anything, signalling NaNs included. With
  /// periods row lead + p belongs to token p of the open period, and a turn
  /// leaves no row of use.
  TREADLE_PROGRAM_STATE_APPEND = 0,
  /// One row, overwritten by each token, or by OPEN and CLOSE alone (by_turn).
  TREADLE_PROGRAM_STATE_FIXED = 1,
  /// The last `rows` rows: position p lives in row p mod rows. Zero at the
  /// start of a sequence.
  TREADLE_PROGRAM_STATE_RING = 2
};

enum treadle_program_element {
  TREADLE_PROGRAM_ELEMENT_F32 = 0,
  TREADLE_PROGRAM_ELEMENT_BF16 = 1,
  TREADLE_PROGRAM_ELEMENT_I32 =
      2, ///< no entry point may use one as an unchecked address
  TREADLE_PROGRAM_ELEMENT_U8 = 3
};

/// What a fixed state holds at the start of a sequence.
enum treadle_program_start {
  TREADLE_PROGRAM_START_ZERO = 0,
  TREADLE_PROGRAM_START_WEIGHTS = 1, ///< f32 of the weights, slots like its own
  TREADLE_PROGRAM_START_FILL = 2     ///< one i32 in every element
};

#define TREADLE_PROGRAM_MAX_SLOT_RANK 3
#define TREADLE_PROGRAM_MAX_ROW_RANK 4

/// One declared state. It has slot_dims[0] * ... * slot_dims[slot_rank - 1]
/// slots (one if slot_rank is 0), numbered row-major, for instance (layer,
/// pass). p = panel_rows rows lie side by side, of each d = panel_depth elements
/// together: element e of row r of slot s, of b bytes, lies at
///
///   states + offset + s * slot_stride + (r - r % p) * row_stride
///     + ((e / d * p + r % p) * d + e % d) * b
///
/// No two states overlap. slot_stride >= rows * row_stride, with the rows of whole
/// panels; row_stride >= the bytes of a row, and where p > 1 those of the row
/// filled up to a multiple of d; what lies between is padding, which entry points
/// may write.
typedef struct treadle_program_state {
  treadle_program_span name; ///< unique within the program
  uint32_t kind;             ///< treadle_program_state_kind
  uint32_t element;          ///< treadle_program_element
  uint32_t slot_rank;
  uint32_t row_rank; ///< 0: a row is one element
  uint64_t slot_dims[TREADLE_PROGRAM_MAX_SLOT_RANK];
  uint64_t row_dims[TREADLE_PROGRAM_MAX_ROW_RANK];
  /// Which slot dimension counts the passes of the loop, or -1. That dimension
  /// is max_loops long, and a session uses its first `passes` indices only.
  int32_t pass_dim;
  uint32_t by_turn; ///< fixed: 1 if only OPEN and CLOSE write it
  /// append: header.context, or with periods lead + header.period and perhaps
  /// CLOSE's rows of scratch; ring: how many rows it keeps; fixed: 1
  uint64_t rows;
  uint64_t offset;
  uint64_t slot_stride;
  uint64_t row_stride;
  uint64_t panel_rows; ///< append: 1, or more for rows side by side; else 1
  uint64_t
      panel_depth; ///< elements of a row that lie together; 1 without panels
  uint64_t lead;   ///< append: rows that OPEN writes, all of its R or 0
  uint32_t start;  ///< treadle_program_start; ZERO unless fixed
  int32_t fill;    ///< START_FILL: the value
  /// START_WEIGHTS: where slot 0 begins in the weights' data; further ones
  /// follow at slot_stride, as in the state.
  uint64_t initial;
} treadle_program_state;

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

enum treadle_program_weights_mode {
  TREADLE_PROGRAM_WEIGHTS_NONE = 0,  ///< the program reads no weights
  TREADLE_PROGRAM_WEIGHTS_EMBED = 1, ///< at treadle_weights_begin
  TREADLE_PROGRAM_WEIGHTS_EXTERNAL = 2
};

/// The container is a safetensors file: 8 bytes of header length, a JSON
/// header, the data. The JSON's __metadata__ holds 64 lower-case hexadecimal
/// digits, the SHA-256 of the data, and is padded with spaces so that the data
/// starts at a multiple of 64.
typedef struct treadle_program_weights {
  uint32_t mode; ///< treadle_program_weights_mode; all else is 0 if it is NONE
  uint32_t reserved;
  uint64_t file_size;   ///< bytes of the whole container
  uint64_t header_size; ///< 8 + JSON: the offset of the data, a multiple of 64
  uint64_t digest_offset; ///< of the 64 digits, from the container's first byte
  /// SHA-256 of the first header_size bytes, with '0' in place of the 64
  /// digits. It binds the weights' layout to the library whatever their values.
  uint8_t header_digest[32];
  /// SHA-256 of the data that the library was compiled for; all zero: any.
  uint8_t content_digest[32];
} treadle_program_weights;

//===----------------------------------------------------------------------===//
// Golden vectors
//===----------------------------------------------------------------------===//

/// What the reference says: after `ids` from an empty session with `loops`
/// passes, max |logits - expected| <= tolerance * max |expected|.
typedef struct treadle_program_golden {
  treadle_program_span ids;    ///< int32[n]
  treadle_program_span mask;   ///< uint8[n], or empty: all attended
  treadle_program_span logits; ///< float[n][vocab_size], count = n * vocab_size
  uint32_t loops;              ///< 1 ... max_loops
  float tolerance;
} treadle_program_golden;

//===----------------------------------------------------------------------===//
// The processor
//===----------------------------------------------------------------------===//

/// Something that entry points may execute, and how an x86-64 processor says
/// that it can: CPUID with eax = leaf and ecx = subleaf answers with `bit` set
/// in `reg` (0 to 3: eax, ebx, ecx, edx), and the system saves the registers
/// (all bits of `xcr0` are set in XCR0).
typedef struct treadle_program_cpu_feature {
  treadle_program_span name; ///< as compilers call it: avx512f
  uint32_t leaf;
  uint32_t subleaf;
  uint32_t reg;
  uint32_t bit;
  uint64_t xcr0;
} treadle_program_cpu_feature;

//===----------------------------------------------------------------------===//
// The GPU
//===----------------------------------------------------------------------===//

/// All GPU kernels of the program, as machine code of one level, and as PTX of
/// which a driver makes that of a later one. Of an emulated level it is the LLVM IR
/// that they are made of instead, as bitcode, for a driver that runs it on the CPU:
/// such a one says that it is a GPU of level 0.0.
typedef struct treadle_program_gpu_code {
  treadle_program_span level; ///< string: as the toolkit calls it, sm_80
  treadle_program_span cubin; ///< bytes of an ELF file, or of bitcode
  treadle_program_span ptx;   ///< string, or empty
} treadle_program_gpu_code;

//===----------------------------------------------------------------------===//
// The image
//===----------------------------------------------------------------------===//

typedef struct treadle_program_header {
  uint64_t magic;       ///< TREADLE_PROGRAM_MAGIC
  uint32_t format;      ///< TREADLE_PROGRAM_FORMAT
  uint32_t header_size; ///< sizeof(treadle_program_header)

  treadle_program_span name; ///< string: the model's name
  treadle_program_span
      info_json; ///< string: a JSON object for people and tools; see
                 ///< treadle_model_info.json in model.h
  treadle_program_span eos_ids; ///< int32
  treadle_program_span entries; ///< treadle_program_entry
  treadle_program_span states;  ///< treadle_program_state
  treadle_program_span golden;  ///< treadle_program_golden

  treadle_program_span cpu; ///< string: the processor that entry points are for
  treadle_program_span cpu_features; ///< treadle_program_cpu_feature
  treadle_program_span gpu_code; ///< treadle_program_gpu_code; none: CPU only
  /// treadle_program_span of strings: the kernels' names, by the numbers that
  /// schedules know them by.
  treadle_program_span gpu_kernels;

  /// SHA-256 of the config in canonical form.
  uint8_t config_digest[32];
  /// Identifies what a saved session means: two libraries that have the same id
  /// read each other's saved sessions. A digest of the config, dtype, state
  /// table and device code is right; weights need not enter, a saved session
  /// names them apart.
  uint8_t library_id[32];

  uint32_t vocab_size;  ///< the width of a row of logits
  uint32_t token_count; ///< every id is below it; 1 ... vocab_size
  uint32_t hidden_size; ///< the width of a row between forward and head
  uint64_t context;     ///< positions compiled for; 0, no limit, with periods
  uint64_t config_context; ///< positions that the config promises, or 0
  uint32_t max_loops;      ///< passes compiled for, at least 1
  /// Passes that the config asks for, at least 1. A session that wants more than
  /// max_loops is refused.
  uint32_t config_loops;

  /// Tokens in a period at most, or 0: append states never begin anew. Before
  /// its first token OPEN is called; before the token that no longer fits, or
  /// when the caller asks for it, CLOSE. Either may read what the other wrote.
  uint64_t period;
  uint32_t open_entry;  ///< index of the entry point; 0 without periods
  uint32_t close_entry; ///< index of the entry point; 0 without periods

  uint64_t state_bytes; ///< of the state memory; every state lies within it

  /// Two append states that every program has, without slots, of one element a
  /// row. The runtime writes them before it calls a forward entry: for the rows
  /// that are valid, the same values as in `input` and `mask`. Entry points read
  /// them at rows below position + valid (earlier tokens' masks, n-gram
  /// contexts) and may write the same values again, but no others. With periods
  /// ids has no lead and header.period rows; mask has OPEN's rows as lead, and
  /// CLOSE's behind the period, both of which the runtime sets to 1 before it
  /// calls OPEN and CLOSE.
  uint32_t ids_state;  ///< index of the state of i32
  uint32_t mask_state; ///< index of the state of u8

  treadle_program_weights weights;
} treadle_program_header;

// What the emitter must define, hidden: it is nobody else's. (Arrays of unknown
// bound, so that no optimiser takes a declaration's size for the object's.)
#define TREADLE_HIDDEN __attribute__((visibility("hidden")))
TREADLE_HIDDEN extern const uint8_t treadle_program[];
TREADLE_HIDDEN extern const treadle_entry_fn treadle_entry_functions[];
TREADLE_HIDDEN extern const treadle_schedule_fn treadle_schedule_functions[];
TREADLE_HIDDEN extern const uint8_t treadle_weights_begin[];

// What the runtime defines for entry points: returns when all members of the team
// have called it. Does nothing if `team` is NULL.
TREADLE_HIDDEN void treadle_barrier(treadle_team *team);

// What the runtime defines for schedules: launches a kernel, by its number, on
// `blocks` blocks of `threads` threads. Its arguments are `words`: an address, a
// number or the bits of a float each. They are copied.
TREADLE_HIDDEN void treadle_launch(treadle_launcher *launcher, int64_t kernel,
                                   int64_t blocks, int64_t threads,
                                   const int64_t *words, int64_t count);

// Says that `stage` begins: its number in the entry point, or TREADLE_MARK_WAIT. Does
// nothing if `profile` is NULL.
TREADLE_HIDDEN void treadle_mark(const treadle_profile *profile, int32_t stage);

// Says that the wait begins, is treadle_barrier, and says that the stage does.
TREADLE_HIDDEN void treadle_meet(treadle_team *team,
                                 const treadle_profile *profile, int32_t stage);
#undef TREADLE_HIDDEN

#ifdef __cplusplus
} // extern "C"
#endif

#endif // TREADLE_RUNTIME_PROGRAM_H
