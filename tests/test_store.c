/* SPDX-License-Identifier: Apache-2.0 */
/* A result file gives back what was written, or is refused by name.
 *
 * `test_store --write PATH` writes a sample file instead, for other readers; `test_store --read
 * PATH...` prints what reading each gives: its exit status and, if it is refused, the message. */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <malloc.h>

#include "scratch.h"
#include "store/hdf5_layout.h"

enum { SMALL = 7, LARGE = 3000, LONG_TEXT = 200000 };

static const char *file(void) { return scratch("out.h5"); }

/* Fills an array with values that differ everywhere, NaN and infinity among the doubles. */
static void fill(void *data, esc_type type, int64_t count, int salt) {
  for (int64_t i = 0; i < count; i++) {
    const int64_t value = i * 31 % 1009 + salt;
    if (type == ESC_TYPE_INT32) ((int32_t *)data)[i] = (int32_t)value;
    if (type == ESC_TYPE_INT64) ((int64_t *)data)[i] = i % 5 ? value << 33 : -1;
    if (type == ESC_TYPE_FLOAT32) ((float *)data)[i] = i % 11 == 9 ? NAN : 0.1f * (float)value;
    if (type == ESC_TYPE_FLOAT64)
      ((double *)data)[i] = i % 11 == 9    ? (double)NAN
                            : i % 11 == 10 ? -(double)INFINITY
                                           : 0.1 * (double)value;
  }
}

static void set_attributes(esc_results *r) {
  char *text = malloc(LONG_TEXT + 1);
  assert_non_null(text);
  for (int i = 0; i < LONG_TEXT; i++) text[i] = (char)(i % 64 == 63 ? '\n' : 'a' + i % 26);
  text[LONG_TEXT] = '\0';
  esc_assert_ok(esc_results_set_attribute(r, "spec", text));
  esc_assert_ok(
      esc_results_set_attribute(r, "command_line", "escapement run \"größe ε.yaml\" -o out.h5"));
  esc_assert_ok(esc_results_set_attribute(r, "commit", ""));
  for (int i = 0; i < 20; i++) {
    char name[40];
    snprintf(name, sizeof name, "note_%d", 20 - i);
    esc_assert_ok(esc_results_set_attribute(r, name, name + 3));
  }
  free(text);
}

static esc_results *make_results(int64_t members, int thresholds, int layers) {
  esc_results *r;
  esc_assert_ok(esc_results_create(members, thresholds, layers, &r));
  for (int i = 0; i < esc_result_variable_count; i++) {
    const esc_result_variable *v = &esc_result_variables[i];
    fill(esc_result_data(r, v), v->type, members * esc_axis_length(r, v->axis), i);
  }
  for (int64_t i = 0; i < members; i++) {
    r->member[i] = 3 * i;
    r->status[i] = (int32_t)(i % 3);
  }
  for (int i = 0; i < thresholds; i++) r->threshold[i] = 0.15 - 0.05 * i;
  set_attributes(r);
  return r;
}

static void assert_identical(const esc_results *a, const esc_results *b) {
  assert_int_equal(a->members, b->members);
  assert_int_equal(a->thresholds, b->thresholds);
  assert_int_equal(a->layers, b->layers);
  assert_memory_equal(a->member, b->member, (size_t)a->members * sizeof *a->member);
  assert_memory_equal(a->threshold, b->threshold, (size_t)a->thresholds * sizeof *a->threshold);
  for (int i = 0; i < esc_result_variable_count; i++) {
    const esc_result_variable *v = &esc_result_variables[i];
    const size_t cells = (size_t)(a->members * esc_axis_length(a, v->axis));
    assert_memory_equal(esc_result_data(a, v), esc_result_data(b, v),
                        cells * esc_type_size(v->type));
  }
  assert_int_equal(a->attributes, b->attributes);
  for (int i = 0; i < a->attributes; i++) {
    assert_string_equal(a->attribute[i].name, b->attribute[i].name);
    assert_string_equal(a->attribute[i].text, b->attribute[i].text);
  }
}

/* Weights of every kind, at two snapshots. */
static void add_weights(esc_results *r) {
  enum { ALL = (1 << ESC_WEIGHTS_KINDS) - 1, WIDTH = 5, INPUTS = 3, SNAPSHOTS = 2 };
  esc_assert_ok(esc_results_add_snapshots(r, SNAPSHOTS));
  esc_assert_ok(esc_results_add_weights(r, ALL, WIDTH, INPUTS));
  const esc_shape shape = esc_results_shape(r);
  for (int k = 0; k < ESC_WEIGHTS_KINDS; k++)
    for (int l = 0; l < r->layers; l++) {
      const esc_axis axis = esc_weights_axis((esc_weights_kind)k);
      const int64_t networks = r->members * esc_axis_length(r, axis);
      fill(r->weight[k][l], ESC_TYPE_FLOAT32,
           networks * esc_fan_out(shape, l) * esc_fan_in(shape, l), 7 * k + l);
    }
}

static void assert_weights_round_trip(int64_t members, int layers) {
  esc_results *in, *out = make_results(members, 3, layers);
  char text[2][ESC_CHECKSUM_TEXT_SIZE];
  add_weights(out);
  esc_assert_ok(esc_store_write(file(), out));
  esc_assert_ok(esc_store_read(file(), &in));
  assert_identical(in, out);
  assert_int_equal(in->weights, out->weights);
  assert_true(in->width == out->width && in->inputs == out->inputs);
  esc_assert_ok(esc_results_checksum(in, text[0])); /* over the weights too */
  esc_assert_ok(esc_results_checksum(out, text[1]));
  assert_string_equal(text[0], text[1]);
  if (members > 0) out->weight[ESC_WEIGHTS_ESCAPE][layers - 1][0] += 1;
  esc_assert_ok(esc_results_checksum(out, text[1]));
  assert_int_equal(strcmp(text[0], text[1]) == 0, members == 0);
  esc_results_free(in);
  esc_results_free(out);
}

static void weights_are_read_back_bit_for_bit(void **state) {
  (void)state;
  assert_weights_round_trip(0, 3);
  assert_weights_round_trip(1, 2);
  assert_weights_round_trip(1001, 3);
  assert_weights_round_trip(SMALL, ESC_LAYERS_MAX);
}

static void assert_round_trip(int64_t members, int thresholds, int layers) {
  esc_results *in, *out = make_results(members, thresholds, layers);
  esc_assert_ok(esc_store_write(file(), out));
  esc_assert_ok(esc_store_read(file(), &in));
  assert_identical(in, out);
  esc_results_free(in);
  esc_results_free(out);
}

static void make_file(int64_t members) {
  esc_results *r = make_results(members, 3, 6);
  esc_assert_ok(esc_store_write(file(), r));
  esc_results_free(r);
}

static void assert_refused(const char *why) {
  esc_results *r = NULL;
  assert_int_equal(esc_store_read(file(), &r), ESC_BAD_INPUT);
  assert_null(r);
  assert_message_names(file(), why, NULL);
}

static void what_was_written_is_read_back_bit_for_bit(void **state) {
  (void)state;
  assert_round_trip(SMALL, 3, 6);
  assert_round_trip(1, 1, 2);
  assert_round_trip(1000, 1, 2);
  assert_round_trip(1001, 2, 3);
  assert_round_trip(LARGE, ESC_THRESHOLDS_MAX, ESC_LAYERS_MAX);
}

static void a_result_without_members_is_read_back(void **state) {
  (void)state;
  assert_round_trip(0, 3, 6);
}

static void the_bytes_depend_on_the_results_alone(void **state) {
  (void)state;
  const int64_t members[] = {SMALL, LARGE};
  for (int i = 0; i < 2; i++) {
    esc_results *r = make_results(members[i], 3, i ? ESC_LAYERS_MAX : 6); /* chunks half full */
    size_t size[2];
    char *bytes[2];
    for (int k = 0; k < 2; k++) {
      mallopt(M_PERTURB, 0x55 + 0x60 * k); /* what fresh memory holds */
      esc_assert_ok(esc_store_write(scratch(k ? "b" : "another name"), r));
      bytes[k] = scratch_read(scratch(k ? "b" : "another name"), &size[k]);
    }
    mallopt(M_PERTURB, 0);
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(bytes[0], bytes[1], size[0]);
    free(bytes[0]);
    free(bytes[1]);
    esc_results_free(r);
  }
}

static void many_members_are_compressed_and_few_are_not(void **state) {
  (void)state;
  const int64_t members[] = {1000, 1001};
  for (int i = 0; i < 2; i++) {
    make_file(members[i]);
    const hid_t image = H5Fopen(file(), H5F_ACC_RDONLY, H5P_DEFAULT);
    const hid_t dataset = H5Dopen2(image, "norm2_final", H5P_DEFAULT);
    const hid_t creation = H5Dget_create_plist(dataset);
    assert_int_equal(H5Pget_layout(creation), i ? H5D_CHUNKED : H5D_CONTIGUOUS);
    assert_int_equal(H5Pget_nfilters(creation), i ? 2 : 0);
    H5Pclose(creation);
    H5Dclose(dataset);
    H5Fclose(image);
  }
}

static void a_file_cut_anywhere_is_refused(void **state) {
  (void)state;
  struct stat info;
  make_file(SMALL);
  assert_int_equal(stat(file(), &info), 0);
  /* Without the file checksum alone it is whole HDF5, so it may be anybody's. */
  assert_int_equal(truncate(file(), info.st_size - ESC_FILE_CHECKSUM_BYTES), 0);
  assert_refused("no checksum");
  make_file(SMALL);
  for (off_t cut = info.st_size - 1; cut > 0;
       cut -= cut > 2000 && cut < info.st_size - 100 ? 997 : 1) {
    assert_int_equal(truncate(file(), cut), 0);
    if (cut != info.st_size - ESC_FILE_CHECKSUM_BYTES) assert_refused("truncated");
  }
  assert_int_equal(truncate(file(), 0), 0);
  assert_refused("empty");
}

static void a_flipped_bit_anywhere_is_refused(void **state) {
  (void)state;
  size_t size;
  esc_results *r;
  make_file(SMALL);
  char *bytes = scratch_read(file(), &size);
  const int fd = open(file(), O_WRONLY);
  for (size_t at = 0; at<size; at += at> 3000 && at < size - 3000 ? 331 : 3) {
    const char flipped = (char)(bytes[at] ^ 1 << at % 8);
    assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
    assert_int_equal(esc_store_read(file(), &r), ESC_BAD_INPUT);
    assert_message_names(file(), NULL);
    assert_int_equal(pwrite(fd, bytes + at, 1, (off_t)at), 1);
  }
  close(fd);
  free(bytes);
  esc_assert_ok(esc_store_read(file(), &r));
  esc_results_free(r);
}

static void a_tail_of_zeros_is_refused(void **state) {
  (void)state;
  size_t size;
  make_file(SMALL);
  char *bytes = scratch_read(file(), &size);
  for (size_t zeros = 1; zeros < size - 8; zeros = zeros * 3 / 2 + 1) {
    memset(bytes + size - zeros, 0, zeros);
    scratch_write(file(), bytes, size);
    assert_refused("");
  }
  free(bytes);
}

static void what_is_not_ours_is_refused(void **state) {
  (void)state;
  esc_results *r;
  assert_refused(strerror(ENOENT));
  assert_int_equal(esc_store_read(scratch_directory, &r), ESC_BAD_INPUT);
  scratch_write(file(), "name: a spec\n", 13);
  assert_refused("not an HDF5 file");
  const hid_t other = H5Fcreate(file(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  assert_true(other >= 0);
  H5Fclose(other);
  assert_refused("not a result");
}

/* Opens our file as another program would. */
static hid_t open_to_change(void) {
  const hid_t image = H5Fopen(file(), H5F_ACC_RDWR, H5P_DEFAULT);
  assert_true(image >= 0);
  return image;
}

static void a_file_that_another_program_changed_is_refused(void **state) {
  (void)state;
  make_file(SMALL);
  const hid_t image = open_to_change();
  assert_true(H5Gclose(H5Gcreate2(image, "mine", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)) >= 0);
  assert_true(H5Fclose(image) >= 0);
  assert_refused("it was changed by another program");
}

/* Puts a right file checksum after whatever HDF5 the file holds. */
static void write_checksum_again(void) {
  size_t size;
  char *bytes = scratch_read(file(), &size);
  const bool has_checksum = !memcmp(bytes + size - ESC_FILE_CHECKSUM_BYTES, "ESCSEAL1", 8);
  const size_t image = has_checksum ? size - ESC_FILE_CHECKSUM_BYTES : size;
  char *grown = realloc(bytes, image + ESC_FILE_CHECKSUM_BYTES);
  assert_non_null(grown);
  esc_file_checksum_write(grown, image);
  scratch_write(file(), grown, image + ESC_FILE_CHECKSUM_BYTES);
  free(grown);
}

static void changed_numbers_under_a_right_file_checksum_are_refused_by_the_digest(void **state) {
  (void)state;
  const int64_t forged[SMALL] = {5, 5, 5, 5, 5, 5, 5};
  make_file(SMALL);
  const hid_t image = open_to_change(), dataset = H5Dopen2(image, "steps_run", H5P_DEFAULT);
  assert_true(H5Dwrite(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, forged) >= 0);
  H5Dclose(dataset);
  H5Fclose(image);
  write_checksum_again();
  assert_refused("digest");
}

static void a_missing_variable_is_named(void **state) {
  (void)state;
  make_file(SMALL);
  const hid_t image = open_to_change();
  assert_true(H5Ldelete(image, "ledger_sum", H5P_DEFAULT) >= 0);
  H5Fclose(image);
  write_checksum_again();
  assert_refused("ledger_sum");
}

/* Puts a dataset without data in the place of `name`. */
static void replace_variable(const char *name, hid_t type, int rank, hsize_t rows) {
  const hsize_t length[2] = {rows, 6}, chunk[2] = {rows < 1000 ? rows : 1000, 6};
  const hid_t image = open_to_change(), layout = H5Pcreate(H5P_DATASET_CREATE);
  const hid_t space = H5Screate_simple(rank, length, NULL);
  H5Pset_chunk(layout, rank, chunk);
  assert_true(H5Ldelete(image, name, H5P_DEFAULT) >= 0);
  const hid_t dataset = H5Dcreate2(image, name, type, space, H5P_DEFAULT, layout, H5P_DEFAULT);
  assert_true(dataset >= 0);
  H5Dclose(dataset);
  H5Sclose(space);
  H5Pclose(layout);
  H5Fclose(image);
  write_checksum_again();
}

static void sizes_that_a_file_cannot_hold_are_refused_before_memory_is_asked_for(void **state) {
  (void)state;
  make_file(SMALL);
  replace_variable("member", H5T_STD_I64LE, 1, (hsize_t)1 << 40);
  assert_refused("declares 1099511627776 members");
  replace_variable("member", H5T_STD_I64LE, 1, (hsize_t)1 << 62);
  assert_refused("declares");
  make_file(SMALL);
  replace_variable("layer", H5T_STD_I32LE, 1, 65);
  assert_refused("65 layers");
  make_file(SMALL);
  replace_variable("threshold", H5T_IEEE_F64LE, 1, (hsize_t)1 << 40);
  assert_refused("1099511627776 thresholds");
}

static void a_variable_of_the_wrong_type_or_shape_is_named(void **state) {
  (void)state;
  make_file(SMALL);
  replace_variable("seed", H5T_IEEE_F64LE, 1, SMALL);
  assert_refused("seed");
  make_file(SMALL);
  replace_variable("seed", H5T_STD_I64LE, 2, SMALL);
  assert_refused("seed");
  make_file(SMALL);
  replace_variable("norm2_final", H5T_IEEE_F64LE, 2, SMALL + 1);
  assert_refused("norm2_final has 8 entries along member, which has 7");
  make_file(SMALL);
  replace_variable("interface", H5T_STD_I32LE, 1, 6);
  assert_refused("interface has 6 entries");
}

static void a_place_that_cannot_be_written_is_refused_and_nothing_is_left(void **state) {
  (void)state;
  esc_results *r = make_results(SMALL, 3, 6);
  assert_int_equal(esc_store_write(scratch("none/out.h5"), r), ESC_BAD_INPUT);
  assert_message_names(scratch("none/out.h5"), strerror(ENOENT), NULL);
  scratch_limit_files(1000);
  const esc_status status = esc_store_write(file(), r);
  scratch_limit_files(RLIM_INFINITY);
  assert_int_equal(status, ESC_IO_FAILED);
  assert_message_names(file(), strerror(EFBIG), NULL);
  assert_int_equal(scratch_count(), 0);
  esc_results_free(r);
}

/* Fails when the image is half made. */
static void fail_to_write(void) {
  esc_results *r = make_results(SMALL, 3, 6);
  esc_assert_ok(esc_results_set_attribute(r, "digest", "mine"));
  assert_int_equal(esc_store_write(file(), r), ESC_LIBRARY_FAILED);
  esc_results_free(r);
}

static void an_attribute_that_the_store_writes_itself_is_refused(void **state) {
  (void)state;
  fail_to_write();
  assert_message_names(file(), "cannot write digest", "exists", NULL);
  assert_int_equal(scratch_count(), 0);
}

static void neither_success_nor_failure_leaves_files_open_or_printing_changed(void **state) {
  (void)state;
  H5E_auto2_t before, after;
  void *data;
  H5Eget_auto2(H5E_DEFAULT, &before, &data);
  assert_round_trip(LARGE, 2, 3);
  fail_to_write();
  make_file(SMALL);
  replace_variable("seed", H5T_IEEE_F64LE, 1, SMALL);
  assert_refused("seed");
  H5Eget_auto2(H5E_DEFAULT, &after, &data);
  assert_true(before == after);
  assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
}

/* A file of every kind of value, for a reader in another language. */
static int write_sample(const char *path) {
  esc_results *r = make_results(LARGE, 3, 6);
  const esc_status status = esc_store_write(path, r);
  if (status != ESC_OK) fprintf(stderr, "%s\n", esc_error_message());
  esc_results_free(r);
  return esc_status_exit_code(status);
}

static int read_all(int paths, char **path) {
  for (int i = 0; i < paths; i++) {
    esc_results *r = NULL;
    bool foreign;
    const esc_status status = esc_store_read_any(path[i], &foreign, &r);
    printf("%d %s\n", esc_status_exit_code(status), status == ESC_OK ? "" : esc_error_message());
    esc_results_free(r);
  }
  return 0;
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      CASE(what_was_written_is_read_back_bit_for_bit),
      CASE(weights_are_read_back_bit_for_bit),
      CASE(a_result_without_members_is_read_back),
      CASE(the_bytes_depend_on_the_results_alone),
      CASE(many_members_are_compressed_and_few_are_not),
      CASE(a_file_cut_anywhere_is_refused),
      CASE(a_flipped_bit_anywhere_is_refused),
      CASE(a_tail_of_zeros_is_refused),
      CASE(what_is_not_ours_is_refused),
      CASE(a_file_that_another_program_changed_is_refused),
      CASE(changed_numbers_under_a_right_file_checksum_are_refused_by_the_digest),
      CASE(a_missing_variable_is_named),
      CASE(sizes_that_a_file_cannot_hold_are_refused_before_memory_is_asked_for),
      CASE(a_variable_of_the_wrong_type_or_shape_is_named),
      CASE(a_place_that_cannot_be_written_is_refused_and_nothing_is_left),
      CASE(an_attribute_that_the_store_writes_itself_is_refused),
      CASE(neither_success_nor_failure_leaves_files_open_or_printing_changed),
  };
  if (argc == 3 && !strcmp(argv[1], "--write")) return write_sample(argv[2]);
  if (argc > 1 && !strcmp(argv[1], "--read")) return read_all(argc - 2, argv + 2);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
