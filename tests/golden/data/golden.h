/* SPDX-License-Identifier: Apache-2.0
 * Written by make_golden.py: do not edit. */
#ifndef GOLDEN_DATA_H
#define GOLDEN_DATA_H

#include <stddef.h>
#include <stdint.h>

/* clang-format off */
typedef struct golden_fashion {
    const char *id;
    size_t n;
    const char *digest, *first, *last;
    uint64_t pixel_sum;
    size_t histogram[10];
    int first_labels[10];
} golden_fashion;
typedef struct golden_hmda {
    const char *id;
    size_t n;
    const char *digest;
    size_t denied, afam, denied_afam, first_id;
    double means[13];
} golden_hmda;

static const golden_fashion golden_fashions[] = {
    {.id = "fashion-mnist",
     .n = 10000,
     .digest = "d43c2f6617cc505b89404397d277cf91da4be48a7824b5838a2c90f7fd5f6721",
     .first = "ffc7351ed0f8bae542820866086177fa4e0b366b97bf9d998dffdb8dbe138787",
     .last = "0e65cd3713adf40ebd419516c1a2256c9e24ad75e86a862368adafd141f4c1bb",
     .pixel_sum = 573469082,
     .histogram = {1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000},
     .first_labels = {9, 2, 1, 1, 6, 1, 4, 6, 5, 7}},
    {.id = "fashion-mnist-train",
     .n = 55000,
     .digest = "f43efcce24a43b307bca1617deb15f64a9fa6a17769db750923a84dc6f978f8e",
     .first = "5bd44e331a6d6998daf675700cd0c13dcd7af8ab954b7585124124da61459e7b",
     .last = "b52e1d61a23fc0f5c73019ac3686df080cdf540e15402b77b681dd829804ac60",
     .pixel_sum = 3142732765,
     .histogram = {5479, 5503, 5510, 5492, 5473, 5497, 5533, 5550, 5485, 5478},
     .first_labels = {9, 0, 0, 3, 0, 2, 7, 2, 5, 5}},
    {.id = "fashion-mnist-fit",
     .n = 5000,
     .digest = "3e7f6c8544998ace441b5cbc0e87752aae569294f8f8291ea51c302ff68e1eeb",
     .first = "80e9b1a49119a6b3921d59e7b5ef6f2bb8d8dc9529246101daff5781491cf59d",
     .last = "489c477715bd5275b2646b28941db83e4ff26ece5302728fcb7632e1be5110ac",
     .pixel_sum = 288381404,
     .histogram = {521, 497, 490, 508, 527, 503, 467, 450, 515, 522},
     .first_labels = {0, 8, 0, 6, 5, 8, 0, 4, 7, 8}},
};

static const golden_hmda golden_hmdas[] = {
    {.id = "hmda",
     .n = 2380,
     .digest = "f766db052e4953cf1f73effcbd40b71e51602ba32e946897a4852d8106b718d8",
     .denied = 285,
     .afam = 339,
     .denied_afam = 96,
     .first_id = 1,
     .means = {0.3308135672116482, 0.25534612176883514, 0.7377759056427715, 2.1163865546218488, 1.7210084033613446, 0.07352941176470588, 3.774495848487405, 0.11638655462184874, 0.020168067226890758, 0.28823529411764703, 0.14243697478991596, 0.39327731092436974, 0.9836134453781512}},
    {.id = "hmda-train",
     .n = 1428,
     .digest = "b2f4423399aae5f696508783dec0bb578e9be37701df0af310440cdf4d069a9b",
     .denied = 171,
     .afam = 204,
     .denied_afam = 58,
     .first_id = 1,
     .means = {0.3319167996922125, 0.2562681581540663, 0.7399419107023405, 2.0980392156862746, 1.7128851540616246, 0.07282913165266107, 3.75889360620862, 0.11554621848739496, 0.02100840336134454, 0.2815126050420168, 0.14285714285714285, 0.3900560224089636, 0.9859943977591037}},
    {.id = "hmda-valid",
     .n = 476,
     .digest = "2f734093a426dd12bc1f8ee8c4ed6360de27982c0e4e2126f97912e8362455e5",
     .denied = 57,
     .afam = 67,
     .denied_afam = 19,
     .first_id = 7,
     .means = {0.328286344504156, 0.254459243662217, 0.7327970073430773, 2.1260504201680672, 1.7394957983193278, 0.06722689075630252, 3.848529468564426, 0.1092436974789916, 0.014705882352941176, 0.3004201680672269, 0.1407563025210084, 0.39285714285714285, 0.9705882352941176}},
    {.id = "hmda-test",
     .n = 476,
     .digest = "ac746fc97db8cff87ea98a236a30425bfe324400378a35b296f2252a904b4dda",
     .denied = 57,
     .afam = 68,
     .denied_afam = 19,
     .first_id = 10,
     .means = {0.33003109247744555, 0.2534668907197584, 0.7362567887637589, 2.161764705882353, 1.726890756302521, 0.0819327731092437, 3.747268955246741, 0.12605042016806722, 0.023109243697478993, 0.296218487394958, 0.14285714285714285, 0.40336134453781514, 0.9894957983193278}},
};

/* clang-format on */
#endif
