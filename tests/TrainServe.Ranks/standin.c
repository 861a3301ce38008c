/* Stands in for libnccl.so.2 and libcuda.so.1 where there is no GPU: the same interface, in the processor's memory, among processes of one machine.

   The default stream is whoever calls; every other stream is a thread that takes its work in order, a little late, so that a wait that was forgotten shows in the sums.
   Calls of NCCL without a current context, and sums outside a group, are errors. STANDIN_FAIL=ncclAllReduce:3 lets that call fail in process 1; STANDIN_SHARED_GPU=1 gives all one GPU. */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_RANKS = 8, CHUNK = 1 << 16, LATE_MICROSECONDS = 2000, SECONDS_TO_WAIT = 20 };

static int rank_here(void) { const char *text = getenv("OMPI_COMM_WORLD_RANK"); return text ? atoi(text) : 0; }

static int must_fail(const char *name) {
  static int calls;
  const char *wish = getenv("STANDIN_FAIL");
  size_t length = strlen(name);
  if (!wish || rank_here() != 1 || strncmp(wish, name, length) || wish[length] != ':') return 0;
  return ++calls == atoi(wish + length + 1);
}

/* CUDA's driver */

typedef struct Work { struct Work *next; float *numbers; size_t count; int type; struct Communicator *communicator; } Work;
typedef struct { pthread_mutex_t gate; pthread_cond_t changed; pthread_t thread; Work *first, *last; long begun, done; int ends; } Stream;
typedef struct { Stream *stream; long position; } Event;

static __thread int contexts;
static int the_context;
static void run(Work *work);

static void *work_off(void *argument) {
  Stream *stream = argument;
  for (;;) {
    pthread_mutex_lock(&stream->gate);
    while (!stream->first && !stream->ends) pthread_cond_wait(&stream->changed, &stream->gate);
    Work *work = stream->first;
    if (work && !(stream->first = work->next)) stream->last = NULL;
    pthread_mutex_unlock(&stream->gate);
    if (!work) return NULL;
    usleep(LATE_MICROSECONDS);
    run(work);
    free(work);
    pthread_mutex_lock(&stream->gate);
    stream->done++;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->gate);
  }
}

static void wait_for(Stream *stream, long position) {
  pthread_mutex_lock(&stream->gate);
  while (stream->done < position) pthread_cond_wait(&stream->changed, &stream->gate);
  pthread_mutex_unlock(&stream->gate);
}

int cuInit(unsigned flags) { return flags ? 1 : 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return ordinal < 0 ? 101 : 0; }
int cuDeviceGetUuid(uint8_t *uuid, int device) {
  memset(uuid, 0xA5, 16);
  uuid[7] = getenv("STANDIN_SHARED_GPU") ? 0 : (uint8_t)(10 * rank_here() + device);
  return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = &the_context; return device < 0 ? 101 : 0; }
int cuCtxPushCurrent_v2(void *context) { contexts++; return context == &the_context ? 0 : 201; }
int cuCtxPopCurrent_v2(void **context) { *context = &the_context; return contexts-- > 0 ? 0 : 201; }
int cuStreamCreate(void **place, unsigned flags) {
  Stream *stream = calloc(1, sizeof *stream);
  pthread_mutex_init(&stream->gate, NULL);
  pthread_cond_init(&stream->changed, NULL);
  pthread_create(&stream->thread, NULL, work_off, stream);
  *place = stream;
  /* CU_STREAM_NON_BLOCKING */
  return flags == 1 && contexts ? 0 : 1;
}
int cuStreamDestroy_v2(Stream *stream) {
  pthread_mutex_lock(&stream->gate);
  stream->ends = 1;
  pthread_cond_broadcast(&stream->changed);
  pthread_mutex_unlock(&stream->gate);
  pthread_join(stream->thread, NULL);
  free(stream);
  return 0;
}
int cuEventCreate(void **place, unsigned flags) { *place = calloc(1, sizeof(Event)); return flags == 2 && contexts ? 0 : 1; }
int cuEventDestroy_v2(Event *event) { free(event); return 0; }
int cuEventRecord(Event *event, Stream *stream) {
  if (must_fail("cuEventRecord")) return 700;
  event->stream = stream;
  event->position = stream ? stream->begun : 0;
  return contexts ? 0 : 201;
}
int cuStreamWaitEvent(Stream *waiting, Event *event, unsigned flags) {
  if (!waiting && event->stream) wait_for(event->stream, event->position);
  return flags || !contexts ? 1 : 0;
}
int cuGetErrorString(int error, const char **text) { *text = error == 700 ? "an illegal memory access was encountered" : "an error of the stand-in"; return 0; }

/* NCCL */

typedef struct { char bytes[128]; } Id;
typedef struct { volatile int arrived, generation, is_made; Id id; float slots[MAX_RANKS][CHUNK]; } Shared;
typedef struct Communicator { int size, rank, is_aborted; pthread_mutex_t gate; Shared *shared; char name[64]; } Communicator;

static __thread int groups;
static __thread Work *group_first, *group_last;
static __thread Stream *group_stream;

static int meet(Communicator *c) {
  Shared *s = c->shared;
  int generation = __atomic_load_n(&s->generation, __ATOMIC_ACQUIRE);
  if (__atomic_add_fetch(&s->arrived, 1, __ATOMIC_ACQ_REL) == c->size) {
    __atomic_store_n(&s->arrived, 0, __ATOMIC_RELEASE);
    __atomic_add_fetch(&s->generation, 1, __ATOMIC_ACQ_REL);
    return 0;
  }
  for (long i = 0; __atomic_load_n(&s->generation, __ATOMIC_ACQUIRE) == generation; i++) {
    if (i > SECONDS_TO_WAIT * 20000L || __atomic_load_n(&c->is_aborted, __ATOMIC_ACQUIRE)) return 2;
    usleep(50);
  }
  return 0;
}

static float widened(const void *numbers, size_t i, int type) {
  if (type == 7) return ((const float *)numbers)[i];
  uint32_t bits = (uint32_t)((const uint16_t *)numbers)[i] << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static void narrowed(void *numbers, size_t i, int type, float value) {
  if (type == 7) { ((float *)numbers)[i] = value; return; }
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  ((uint16_t *)numbers)[i] = (uint16_t)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

static void add(Work *work, Communicator *c) {
  for (size_t at = 0; at < work->count && !c->is_aborted; at += CHUNK) {
    size_t count = work->count - at < CHUNK ? work->count - at : CHUNK;
    for (size_t i = 0; i < count; i++) c->shared->slots[c->rank][i] = widened(work->numbers, at + i, work->type);
    if (meet(c)) return;
    for (size_t i = 0; i < count; i++) {
      float sum = 0;
      for (int rank = 0; rank < c->size; rank++) sum += c->shared->slots[rank][i];
      narrowed(work->numbers, at + i, work->type, sum);
    }
    if (meet(c)) return;
  }
}

static void run(Work *work) {
  Communicator *c = work->communicator;
  pthread_mutex_lock(&c->gate);
  add(work, c);
  pthread_mutex_unlock(&c->gate);
}

int ncclGetVersion(int *version) { *version = 22703; return 0; }
int ncclGetUniqueId(Id *id) {
  int random = open("/dev/urandom", O_RDONLY);
  int is_read = read(random, id->bytes, sizeof id->bytes) == sizeof id->bytes;
  close(random);
  return is_read ? 0 : 2;
}
int ncclCommInitRank(Communicator **place, int size, Id id, int rank) {
  if (must_fail("ncclCommInitRank")) return 2;
  if (!contexts || size > MAX_RANKS) return 5;
  Communicator *c = calloc(1, sizeof *c);
  pthread_mutex_init(&c->gate, NULL);
  uint64_t number;
  memcpy(&number, id.bytes, sizeof number);
  snprintf(c->name, sizeof c->name, "/trainserve-standin-%016lx", (unsigned long)number);
  int file = shm_open(c->name, O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, sizeof(Shared))) return 2;
  c->shared = mmap(NULL, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  c->size = size;
  c->rank = rank;
  if (rank == 0) c->shared->id = id;
  /* With another id than the others' a process would wait in vain. */
  if (meet(c)) return 2;
  if (rank == 0) shm_unlink(c->name);
  /* And all 128 bytes came. */
  if (memcmp(&c->shared->id, &id, sizeof id)) return 4;
  *place = c;
  return 0;
}
int ncclGroupStart(void) { groups++; return contexts ? 0 : 5; }
int ncclAllReduce(const void *from, void *to, size_t count, int type, int operation, Communicator *c, Stream *stream) {
  if (must_fail("ncclAllReduce")) return 2;
  if (!contexts || !groups || from != to || operation != 0 || (type != 7 && type != 9) || !stream) return 5;
  Work *work = calloc(1, sizeof *work);
  *work = (Work){ .numbers = to, .count = count, .type = type, .communicator = c };
  if (group_last) group_last->next = work; else group_first = work;
  group_last = work;
  group_stream = stream;
  return 0;
}
int ncclGroupEnd(void) {
  if (--groups < 0 || !contexts) return 5;
  if (!group_first) return 0;
  Stream *stream = group_stream;
  pthread_mutex_lock(&stream->gate);
  if (stream->last) stream->last->next = group_first; else stream->first = group_first;
  stream->last = group_last;
  for (Work *work = group_first; work; work = work->next) stream->begun++;
  pthread_cond_broadcast(&stream->changed);
  pthread_mutex_unlock(&stream->gate);
  group_first = group_last = NULL;
  return 0;
}
int ncclCommGetAsyncError(Communicator *c, int *error) { *error = must_fail("ncclCommGetAsyncError") ? 6 : 0; return c ? 0 : 5; }
int ncclCommDestroy(Communicator *c) { munmap(c->shared, sizeof(Shared)); free(c); return contexts ? 0 : 5; }
int ncclCommAbort(Communicator *c) {
  if (!c) return 5;
  /* Ends what is running, and waits until it has ended: nothing is read or written from here on. */
  __atomic_store_n(&c->is_aborted, 1, __ATOMIC_RELEASE);
  pthread_mutex_lock(&c->gate);
  pthread_mutex_unlock(&c->gate);
  return 0;
}
const char *ncclGetErrorString(int error) {
  return error == 2 ? "unhandled system error" : error == 4 ? "invalid argument" : error == 5 ? "invalid usage" : error == 6 ? "remote process exited or there was a network error" : "no error";
}
const char *ncclGetLastError(Communicator *c) { (void)c; return "the stand-in was told to fail"; }
